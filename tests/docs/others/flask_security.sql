-- Made by Flask-Security 5.9.2 with SECURITY_PASSWORD_SALT 146585145368132386173505678016728509634.
CREATE TABLE user (
	fs_webauthn_user_handle VARCHAR(64),
	mf_recovery_codes TEXT,
	password VARCHAR(255),
	us_phone_number VARCHAR(128),
	username VARCHAR(255),
	us_totp_secrets TEXT,
	id INTEGER NOT NULL,
	email VARCHAR(255) NOT NULL,
	active BOOLEAN NOT NULL,
	fs_uniquifier VARCHAR(64) NOT NULL,
	confirmed_at DATETIME,
	last_login_at DATETIME,
	current_login_at DATETIME,
	last_login_ip VARCHAR(64),
	current_login_ip VARCHAR(64),
	login_count INTEGER,
	tf_primary_method VARCHAR(64),
	tf_totp_secret VARCHAR(255),
	tf_phone_number VARCHAR(128),
	create_datetime DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
	update_datetime DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (fs_webauthn_user_handle),
	UNIQUE (us_phone_number),
	UNIQUE (username),
	UNIQUE (email),
	UNIQUE (fs_uniquifier)
);
INSERT INTO "user" VALUES('df52bbce9e09412699bf6526b7f310bc',NULL,'$argon2id$v=19$m=8192,t=1,p=1$DEEIYczZ+x8jhFBqrdUagw$H5g36PJ/gVPhmMe9H8KtSxtMZFydZPxDyPBatZobz8A',NULL,NULL,NULL,1,'ann@example.com',1,'0bca0519fba04a7ab159464a7dfad4ad','2024-05-01 12:00:00.000000',NULL,'2025-03-02 08:30:00.000000',NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30 02:32:26','2026-11-30 02:32:26');
INSERT INTO "user" VALUES('3cdd1230bbb64ef4b10ec887d4d1b8c9',NULL,'$argon2id$v=19$m=8192,t=1,p=1$K+U8ZwwhhJCSUoqREoJQKg$4vjLVrePayYQ3RUoSqr8yk644SATUFWjrRiqtT8p6ag',NULL,NULL,NULL,2,'ben@example.com',0,'33a217d1cba64ed380397aec7a350048',NULL,NULL,'2025-03-02 08:30:00.000000',NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-30 02:32:26','2026-11-30 02:32:26');
