-- Made by fastapi-users 15.0.5.
CREATE TABLE user (
	id CHAR(36) NOT NULL,
	email VARCHAR(320) NOT NULL,
	hashed_password VARCHAR(1024) NOT NULL,
	is_active BOOLEAN NOT NULL,
	is_superuser BOOLEAN NOT NULL,
	is_verified BOOLEAN NOT NULL,
	PRIMARY KEY (id)
);
INSERT INTO "user" VALUES('f53544fe-4900-4b27-be21-9e5a57c90ff3','ann@example.com','$argon2id$v=19$m=65536,t=3,p=4$qS3zqE7fHUeFfKF4S076hw$yyYhZ92de3BQ4ZBQ1WxxshWh4ITUupgsjaPjTcfvyqw',1,0,1);
INSERT INTO "user" VALUES('08e5ec65-42a2-46c5-9808-8ef0e05f89e6','ben@example.com','$argon2id$v=19$m=65536,t=3,p=4$pxQtbakd8BK9Dz7S3Y5PdA$5oyjfw/3W23486SCtyX2TgPoAUGZX+jg3j3ahvMxy28',0,0,0);
