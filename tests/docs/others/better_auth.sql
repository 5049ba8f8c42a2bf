-- Tables as the documentation of Better Auth has them; the hash made by better-auth 1.7.25.
CREATE TABLE user (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, "emailVerified" INTEGER NOT NULL, image TEXT, "createdAt" DATE NOT NULL, "updatedAt" DATE NOT NULL);
CREATE TABLE account (id TEXT PRIMARY KEY, "accountId" TEXT NOT NULL, "providerId" TEXT NOT NULL, "userId" TEXT NOT NULL REFERENCES user (id), password TEXT, "createdAt" DATE NOT NULL, "updatedAt" DATE NOT NULL);
INSERT INTO user VALUES ('u1', 'Ann', 'ann@example.com', 1, NULL, '2024-05-01T12:00:00.000Z', '2024-05-01T12:00:00.000Z');
INSERT INTO user VALUES ('u2', 'Ben', 'ben@example.com', 0, NULL, '2024-06-01T12:00:00.000Z', '2024-06-01T12:00:00.000Z');
INSERT INTO account VALUES ('a1', 'u1', 'credential', 'u1', 'b32400b370ab60fc25ceecda759ee37d:406cafc7b3466e2558911b5a76b47987d731ca0699336fe18bf58147a9b286876426f5456a6e483e472f5112c2016517120103ab26970bf3c10afa268c5d1579', '2024-05-01T12:00:00.000Z', '2024-05-01T12:00:00.000Z');
INSERT INTO account VALUES ('a2', '1234', 'github', 'u2', NULL, '2024-06-01T12:00:00.000Z', '2024-06-01T12:00:00.000Z');
