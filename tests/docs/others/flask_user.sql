-- A sample: the columns as the documentation of Flask-User has them.
CREATE TABLE users (id INTEGER PRIMARY KEY, is_active BOOLEAN NOT NULL, email VARCHAR(255) NOT NULL UNIQUE, email_confirmed_at DATETIME, password VARCHAR(255) NOT NULL, first_name VARCHAR(100), last_name VARCHAR(100));
INSERT INTO users VALUES (1, 1, 'ann@example.com', '2024-05-01 12:00:00', '$2a$10$yqa/CBiNvd76yhzmF36VLe3OD1KNYK7TodKi7R88Z.f0UkdDXvSUC', 'Ann', 'A');
