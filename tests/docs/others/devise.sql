-- A sample: the columns as the documentation of Devise has them.
CREATE TABLE users (id INTEGER PRIMARY KEY, email VARCHAR NOT NULL, encrypted_password VARCHAR NOT NULL, confirmed_at DATETIME, current_sign_in_at DATETIME, locked_at DATETIME, created_at DATETIME NOT NULL);
INSERT INTO users VALUES (1, 'ann@example.com', '$2a$10$XHkLJLOf7zspxXPGUXDGTea.m4yagh5f72B6HrI2WGv0Nplnr8dru', '2024-05-01 12:00:00', '2025-03-02 08:30:00', NULL, '2024-05-01 11:00:00');
INSERT INTO users VALUES (2, 'ben@example.com', '$2a$10$fCJgx0dPRlf0aAm1U.A1I.itx5abY4EwRK4BRZFNXNcQJdMyMnPiC', NULL, NULL, '2025-01-01 00:00:00', '2024-06-01 11:00:00');
