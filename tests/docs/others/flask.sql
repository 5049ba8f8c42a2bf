-- Made by Flask-SQLAlchemy 3.1.1, Flask-Login 0.6.3 and Werkzeug 3.1.9.
CREATE TABLE user (
	id INTEGER NOT NULL,
	email VARCHAR(100),
	password VARCHAR(200),
	name VARCHAR(100),
	PRIMARY KEY (id),
	UNIQUE (email)
);
INSERT INTO "user" VALUES(1,'ann@example.com','scrypt:32768:8:1$aVvlrmcDcLvQYigG$c872c3d10748d912544f35ce4e76670e9e1ceb6327875fda8e73fac65488939ca6552fb0b1395c2c3102c92ea8fff77d169d2f8d61163401126685e8e9f00d0b','Ann');
INSERT INTO "user" VALUES(2,'ben@example.com','pbkdf2:sha256:20000$ELwgnbYGPQblBVIy$8751f5b8fb9fc6a7951f226c3a63ab41985030741abb4e5020f1e110c49f28fc','Ben');
