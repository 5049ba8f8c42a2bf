-- Made by Django 5.2.19.
CREATE TABLE "auth_user" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "password" varchar(128) NOT NULL, "last_login" datetime NULL, "is_superuser" bool NOT NULL, "username" varchar(150) NOT NULL UNIQUE, "last_name" varchar(150) NOT NULL, "email" varchar(254) NOT NULL, "is_staff" bool NOT NULL, "is_active" bool NOT NULL, "date_joined" datetime NOT NULL, "first_name" varchar(150) NOT NULL);
INSERT INTO "auth_user" VALUES(1,'pbkdf2_sha256$20000$0DkByKa2AtMocMKfdFLvmU$7omO7kYdETUBUBFswbS8y5Rs7igf1oO+V/EmZ74nV+g=','2025-03-02 08:30:00',0,'ann','','ann@example.com',0,1,'2024-05-01 12:00:00','');
INSERT INTO "auth_user" VALUES(2,'!rH1nh45FK1w3Y5oHXPcFWFpzNIPy8k7FSxvEVtiI',NULL,0,'ben','','ben@example.com',0,0,'2026-11-30 02:32:28.814726','');
INSERT INTO "auth_user" VALUES(3,'pbkdf2_sha256$20000$Iq2Q6utAJh0DaR4wLCuugk$OQvBLmShf5r6bQcjv+7SyCJlUW16iDxAWhI3lbXdxGg=',NULL,0,'nobody','','',0,1,'2026-11-30 02:32:28.882709','');
