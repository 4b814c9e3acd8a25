BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0008');
CREATE TABLE answers (
	message_id VARCHAR(32) NOT NULL, 
	chat_id VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	question_id VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	owner VARCHAR(128), 
	lease_until DATETIME, 
	attempt INTEGER NOT NULL, 
	complete BOOLEAN NOT NULL, 
	ending VARCHAR(16), 
	detail TEXT, 
	cut BOOLEAN NOT NULL, 
	parts JSON NOT NULL, 
	stop_requested BOOLEAN NOT NULL, 
	queued BOOLEAN NOT NULL, 
	asker VARCHAR(64), 
	asker_team VARCHAR(64), 
	question_ts VARCHAR(64), 
	model TEXT NOT NULL, 
	prompt_tokens INTEGER, 
	completion_tokens INTEGER, 
	cost FLOAT, 
	seconds FLOAT, stop_source VARCHAR(64), 
	CONSTRAINT pk_answers PRIMARY KEY (message_id), 
	CONSTRAINT fk_answers_chat_id FOREIGN KEY(chat_id) REFERENCES chats (id) ON DELETE CASCADE, 
	CONSTRAINT fk_answers_message_id FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE, 
	CONSTRAINT fk_answers_question_id FOREIGN KEY(question_id) REFERENCES messages (id) ON DELETE CASCADE
);
INSERT INTO "answers" VALUES('018bcfe5686e698852f87b44ae2afc04','018bcfe56865b84aa0950fd69b35ebd3',2,'018bcfe5686e67d68cd5553d16ea0af5','ended',NULL,NULL,1,1,'done',NULL,0,'[{"ts": "1700000000.128410", "native": false}]',0,0,'U0ALICE','T0SANDBOX','1700000000.049791','openai:demo/quick',70,3,NULL,8.10395600001356797292e-03,NULL);
INSERT INTO "answers" VALUES('018bcfe568f254dceb52b9463cff3a41','018bcfe568edbb63bce4d6e1bf4aaf39',2,'018bcfe568f2a3f948e0b1506a7243ff','ended',NULL,NULL,1,1,'done',NULL,0,'[{"ts": "1700000000.194265", "native": false}]',0,0,'U0ALICE','T0SANDBOX','1700000000.138230','openai:demo/quick',72,4,NULL,1.01229780002540792338e-02,NULL);
INSERT INTO "answers" VALUES('018bcfe56aa03000316ac2eb84dd9e58','018bcfe56a9a0b1508f6d1b0897dc413',2,'018bcfe56aa0b458a6df7d1f7d7dbe69','ended',NULL,NULL,1,1,'failed','A fault was asked for.',0,'[{"ts": "1700000000.971122", "native": false}]',0,0,'U0ALICE','T0SANDBOX','1700000000.519813','openai:demo/quick',NULL,NULL,NULL,0.00533439399987401,NULL);
INSERT INTO "answers" VALUES('018bcfe5708762521387afaf4fcad07f','018bcfe5707fc05e7089084e291fc904',2,'018bcfe570876e5f60946a1fc54c95c9','ended',NULL,NULL,1,1,'failed','no such model',0,'[{"ts": "1700000002.962346", "native": false}]',0,0,'U0ALICE','T0SANDBOX','1700000001.132568','openai:demo/eye',NULL,NULL,NULL,1.25375249999706284143e-02,NULL);
INSERT INTO "answers" VALUES('018bcfe584a0dfe16802d60112eba254','018bcfe5849c9605056d2cdcf5aff6d6',2,'018bcfe584a0b971d8502660d6bad3ef','running','old-host/000000000000:1:0000000000000000','2023-11-14 22:13:36.380877',1,0,NULL,NULL,0,'[{"ts": "1700000007.065544", "native": true}]',0,0,'U0ALICE','T0SANDBOX','1700000006.005345','openai:demo/quick',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "answers" VALUES('018bcfe588a513124a353d372c2b10a0','018bcfe588a22469339149b86aaeedad',2,'018bcfe588a5de9f8d5b1d206e0dc125','running','old-host/000000000000:1:0000000000000000','2023-11-14 22:13:36.371877',1,0,NULL,NULL,0,'[{"ts": "1700000008.068286", "native": true}]',0,0,'U0ALICE','T0SANDBOX','1700000007.042139','openai:demo/quick',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "answers" VALUES('018bcfe588c075546f6dc79e378fb25b','018bcfe588a22469339149b86aaeedad',4,'018bcfe588c03262d6df4547eb1ee463','waiting',NULL,NULL,0,0,NULL,NULL,0,'[]',0,1,'U0ALICE','T0SANDBOX','1700000008.040089','openai:demo/quick',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "answers" VALUES('018bcfe588d2900d7c89e17e0df1d779','018bcfe568edbb63bce4d6e1bf4aaf39',4,'018bcfe588d22cf6010c21dfffd6befe','running','old-host/000000000000:1:0000000000000000','2023-11-14 22:13:36.405877',1,0,NULL,NULL,0,'[{"ts": "1700000009.051120", "native": false}]',0,0,'U0BOB','T0SANDBOX','1700000008.040410','openai:demo/quick',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE api_tokens (
	hash VARCHAR(64) NOT NULL, 
	team VARCHAR(64) NOT NULL, 
	user VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	last_used_at DATETIME, 
	expires_at DATETIME, 
	revoked_at DATETIME, 
	CONSTRAINT pk_api_tokens PRIMARY KEY (hash)
);
INSERT INTO "api_tokens" VALUES('b7e46099f16a3f4b9f289c9a9958249ca1961880ca22609db140464bc02f1203','T0SANDBOX','U0ALICE','2023-11-14 22:13:23.369877',NULL,NULL,NULL);
CREATE TABLE attachments (
	message_id VARCHAR(32) NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	mime VARCHAR(128) NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_attachments PRIMARY KEY (message_id, position), 
	CONSTRAINT fk_attachments_message_id FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
);
CREATE TABLE chats (
	id VARCHAR(32) NOT NULL, 
	team VARCHAR(64) NOT NULL, 
	channel VARCHAR(64), 
	thread VARCHAR(64), 
	owner VARCHAR(64) NOT NULL, 
	title TEXT NOT NULL, 
	title_by VARCHAR(16) NOT NULL, 
	provider VARCHAR(64) NOT NULL, 
	model TEXT NOT NULL, 
	message_count INTEGER NOT NULL, 
	header_ts VARCHAR(64), 
	context TEXT, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_chats PRIMARY KEY (id), 
	CONSTRAINT uq_chats_team_channel_thread UNIQUE (team, channel, thread)
);
INSERT INTO "chats" VALUES('018bcfe56865b84aa0950fd69b35ebd3','T0SANDBOX','C0GENERAL','1700000000.049791','U0ALICE','The first question','model','openai','demo/quick',2,'1700000000.075345',NULL,'2023-11-14 22:13:20.101351','2023-11-14 22:13:20.216995');
INSERT INTO "chats" VALUES('018bcfe568edbb63bce4d6e1bf4aaf39','T0SANDBOX','C0GENERAL','1700000000.138230','U0ALICE','A question of several people','model','openai','demo/quick',4,'1700000000.156115',NULL,'2023-11-14 22:13:20.237028','2023-11-14 22:13:28.401010');
INSERT INTO "chats" VALUES('018bcfe56a9a0b1508f6d1b0897dc413','T0SANDBOX','C0GENERAL','1700000000.519813','U0ALICE','New conversation','default','openai','demo/quick',2,'1700000000.533049',NULL,'2023-11-14 22:13:20.665873','2023-11-14 22:13:21.141237');
INSERT INTO "chats" VALUES('018bcfe5707fc05e7089084e291fc904','T0SANDBOX','C0GENERAL','1700000001.132568','U0ALICE','New conversation','default','openai','demo/eye',2,'1700000001.967185',NULL,'2023-11-14 22:13:22.175790','2023-11-14 22:13:23.201750');
INSERT INTO "chats" VALUES('018bcfe5849c9605056d2cdcf5aff6d6','T0SANDBOX','C0GENERAL','1700000006.005345','U0ALICE','New conversation','default','openai','demo/quick',2,'1700000007.017446',NULL,'2023-11-14 22:13:27.324546','2023-11-14 22:13:27.328064');
INSERT INTO "chats" VALUES('018bcfe588a22469339149b86aaeedad','T0SANDBOX','C0GENERAL','1700000007.042139','U0ALICE','New conversation','default','openai','demo/quick',4,'1700000008.024652',NULL,'2023-11-14 22:13:28.354689','2023-11-14 22:13:28.383893');
CREATE TABLE feedback (
	message_id VARCHAR(32) NOT NULL, 
	team VARCHAR(64) NOT NULL, 
	user VARCHAR(64) NOT NULL, 
	value INTEGER NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_feedback PRIMARY KEY (message_id, team, user), 
	CONSTRAINT fk_feedback_message_id FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE
);
INSERT INTO "feedback" VALUES('018bcfe5686e698852f87b44ae2afc04','T0SANDBOX','U0BOB',1,'2023-11-14 22:13:20.606761');
CREATE TABLE installations (
	enterprise VARCHAR(64) NOT NULL, 
	team VARCHAR(64) NOT NULL, 
	bot_user VARCHAR(64) NOT NULL, 
	bot_id VARCHAR(64), 
	bot_token TEXT NOT NULL, 
	url TEXT NOT NULL, 
	scopes TEXT NOT NULL, 
	installed_by VARCHAR(64), 
	installed_at DATETIME NOT NULL, 
	CONSTRAINT pk_installations PRIMARY KEY (enterprise, team)
);
INSERT INTO "installations" VALUES('','T0OTHER','U0BOT','B0BOT','gAAAAABrDHoW5NEcTr6-CJWVBkTQRnJuruW4HwdbfHuLWiJG1sY14qJHNbqjnRD1VfwiMOHy1_2BXccl0oYeqyIVFbkjJTMl8CEab4EPxHF2HD02YTb-htg=','https://other.slack.com/','chat:write,app_mentions:read','U0ALICE','2023-11-14 22:13:23.383653');
CREATE TABLE messages (
	id VARCHAR(32) NOT NULL, 
	chat_id VARCHAR(32) NOT NULL, 
	number INTEGER NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	text TEXT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	author VARCHAR(64), 
	author_name TEXT, 
	source TEXT, 
	error VARCHAR(64), 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, files TEXT, 
	CONSTRAINT pk_messages PRIMARY KEY (id), 
	CONSTRAINT fk_messages_chat_id FOREIGN KEY(chat_id) REFERENCES chats (id) ON DELETE CASCADE, 
	CONSTRAINT uq_messages_chat_id_number UNIQUE (chat_id, number), 
	CONSTRAINT uq_messages_chat_id_source UNIQUE (chat_id, source)
);
INSERT INTO "messages" VALUES('018bcfe5686e67d68cd5553d16ea0af5','018bcfe56865b84aa0950fd69b35ebd3',1,'user','The first question.','done','U0ALICE',NULL,'1700000000.049791',NULL,'2023-11-14 22:13:20.110533','2023-11-14 22:13:20.110533',NULL);
INSERT INTO "messages" VALUES('018bcfe5686e698852f87b44ae2afc04','018bcfe56865b84aa0950fd69b35ebd3',2,'assistant','The first answer.','done',NULL,NULL,NULL,NULL,'2023-11-14 22:13:20.110533','2023-11-14 22:13:20.181488',NULL);
INSERT INTO "messages" VALUES('018bcfe568f2a3f948e0b1506a7243ff','018bcfe568edbb63bce4d6e1bf4aaf39',1,'user','A question of several people.','done','U0ALICE',NULL,'1700000000.138230',NULL,'2023-11-14 22:13:20.242549','2023-11-14 22:13:20.242549',NULL);
INSERT INTO "messages" VALUES('018bcfe568f254dceb52b9463cff3a41','018bcfe568edbb63bce4d6e1bf4aaf39',2,'assistant','An answer to alice.','done',NULL,NULL,NULL,NULL,'2023-11-14 22:13:20.242549','2023-11-14 22:13:20.282066',NULL);
INSERT INTO "messages" VALUES('018bcfe56aa0b458a6df7d1f7d7dbe69','018bcfe56a9a0b1508f6d1b0897dc413',1,'user','A question that the model refuses.','done','U0ALICE',NULL,'1700000000.519813',NULL,'2023-11-14 22:13:20.671984','2023-11-14 22:13:20.671984',NULL);
INSERT INTO "messages" VALUES('018bcfe56aa03000316ac2eb84dd9e58','018bcfe56a9a0b1508f6d1b0897dc413',2,'assistant','','failed',NULL,NULL,NULL,'refused','2023-11-14 22:13:20.671984','2023-11-14 22:13:21.141028',NULL);
INSERT INTO "messages" VALUES('018bcfe570876e5f60946a1fc54c95c9','018bcfe5707fc05e7089084e291fc904',1,'user','A question to a model that is gone.','done','U0ALICE',NULL,'1700000001.132568',NULL,'2023-11-14 22:13:22.183220','2023-11-14 22:13:22.183220',NULL);
INSERT INTO "messages" VALUES('018bcfe5708762521387afaf4fcad07f','018bcfe5707fc05e7089084e291fc904',2,'assistant','','failed',NULL,NULL,NULL,'model_gone','2023-11-14 22:13:22.183220','2023-11-14 22:13:23.201535',NULL);
INSERT INTO "messages" VALUES('018bcfe584a0b971d8502660d6bad3ef','018bcfe5849c9605056d2cdcf5aff6d6',1,'user','Stop this answer.','done','U0ALICE',NULL,'1700000006.005345',NULL,'2023-11-14 22:13:27.328617','2023-11-14 22:13:27.328617',NULL);
INSERT INTO "messages" VALUES('018bcfe584a0dfe16802d60112eba254','018bcfe5849c9605056d2cdcf5aff6d6',2,'assistant','','running',NULL,NULL,NULL,NULL,'2023-11-14 22:13:27.328617','2023-11-14 22:13:27.335042',NULL);
INSERT INTO "messages" VALUES('018bcfe588a5de9f8d5b1d206e0dc125','018bcfe588a22469339149b86aaeedad',1,'user','Finish this answer.','done','U0ALICE',NULL,'1700000007.042139',NULL,'2023-11-14 22:13:28.357205','2023-11-14 22:13:28.357205',NULL);
INSERT INTO "messages" VALUES('018bcfe588a513124a353d372c2b10a0','018bcfe588a22469339149b86aaeedad',2,'assistant','','running',NULL,NULL,NULL,NULL,'2023-11-14 22:13:28.357205','2023-11-14 22:13:28.373263',NULL);
INSERT INTO "messages" VALUES('018bcfe588c03262d6df4547eb1ee463','018bcfe588a22469339149b86aaeedad',3,'user','And the one that waits?','done','U0ALICE',NULL,'1700000008.040089',NULL,'2023-11-14 22:13:28.384802','2023-11-14 22:13:28.384802',NULL);
INSERT INTO "messages" VALUES('018bcfe588c075546f6dc79e378fb25b','018bcfe588a22469339149b86aaeedad',4,'assistant','','waiting',NULL,NULL,NULL,NULL,'2023-11-14 22:13:28.384802','2023-11-14 22:13:28.384802',NULL);
INSERT INTO "messages" VALUES('018bcfe588d22cf6010c21dfffd6befe','018bcfe568edbb63bce4d6e1bf4aaf39',3,'user','And what does bob ask?','done','U0BOB',NULL,'1700000008.040410',NULL,'2023-11-14 22:13:28.402484','2023-11-14 22:13:28.402484',NULL);
INSERT INTO "messages" VALUES('018bcfe588d2900d7c89e17e0df1d779','018bcfe568edbb63bce4d6e1bf4aaf39',4,'assistant','','running',NULL,NULL,NULL,NULL,'2023-11-14 22:13:28.402484','2023-11-14 22:13:28.406592',NULL);
CREATE TABLE participants (
	team VARCHAR(64) NOT NULL, 
	user VARCHAR(64) NOT NULL, 
	chat_id VARCHAR(32) NOT NULL, 
	active_at DATETIME NOT NULL, away BOOLEAN DEFAULT 0 NOT NULL, "indexed" BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_participants PRIMARY KEY (team, user, chat_id), 
	CONSTRAINT fk_participants_chat_id FOREIGN KEY(chat_id) REFERENCES chats (id) ON DELETE CASCADE
);
INSERT INTO "participants" VALUES('T0SANDBOX','U0ALICE','018bcfe56865b84aa0950fd69b35ebd3','2023-11-14 22:13:20.110533',0,0);
INSERT INTO "participants" VALUES('T0SANDBOX','U0ALICE','018bcfe568edbb63bce4d6e1bf4aaf39','2023-11-14 22:13:28.402484',0,0);
INSERT INTO "participants" VALUES('T0SANDBOX','U0ALICE','018bcfe56a9a0b1508f6d1b0897dc413','2023-11-14 22:13:20.671984',0,0);
INSERT INTO "participants" VALUES('T0SANDBOX','U0ALICE','018bcfe5707fc05e7089084e291fc904','2023-11-14 22:13:22.183220',0,0);
INSERT INTO "participants" VALUES('T0SANDBOX','U0ALICE','018bcfe5849c9605056d2cdcf5aff6d6','2023-11-14 22:13:27.328617',0,0);
INSERT INTO "participants" VALUES('T0SANDBOX','U0ALICE','018bcfe588a22469339149b86aaeedad','2023-11-14 22:13:28.384802',0,0);
INSERT INTO "participants" VALUES('T0SANDBOX','U0BOB','018bcfe568edbb63bce4d6e1bf4aaf39','2023-11-14 22:13:28.402484',0,0);
CREATE TABLE people (
	team VARCHAR(64) NOT NULL, 
	user VARCHAR(64) NOT NULL, 
	name TEXT, 
	default_model TEXT, 
	last_model TEXT, 
	always BOOLEAN NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT pk_people PRIMARY KEY (team, user)
);
INSERT INTO "people" VALUES('T0SANDBOX','U0ALICE','alice','openai:demo/quick','openai:demo/quick',0,'2023-11-14 22:13:28.359716');
INSERT INTO "people" VALUES('T0SANDBOX','U0BOB','bob',NULL,NULL,0,'2023-11-14 22:13:25.275478');
CREATE TABLE questions (
	id VARCHAR(32) NOT NULL, 
	team VARCHAR(64) NOT NULL, 
	channel VARCHAR(64) NOT NULL, 
	thread VARCHAR(64) NOT NULL, 
	ts VARCHAR(64) NOT NULL, 
	user VARCHAR(64) NOT NULL, 
	user_team VARCHAR(64), 
	user_name TEXT, 
	text TEXT, 
	source VARCHAR(64), 
	context TEXT, 
	model TEXT, 
	menu_ts VARCHAR(64), 
	state VARCHAR(16) NOT NULL, 
	message_id VARCHAR(32), 
	created_at DATETIME NOT NULL, files TEXT, context_files TEXT, 
	CONSTRAINT pk_questions PRIMARY KEY (id), 
	CONSTRAINT fk_questions_message_id FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE, 
	CONSTRAINT uq_questions_team_channel_ts UNIQUE (team, channel, ts)
);
INSERT INTO "questions" VALUES('018bcfe568324ad0e76ce39df2c36684','T0SANDBOX','C0GENERAL','1700000000.049791','1700000000.049791','U0ALICE',NULL,NULL,'The first question.','1700000000.049791',NULL,'openai:demo/quick','1700000000.075345','shown','018bcfe5686e67d68cd5553d16ea0af5','2023-11-14 22:13:20.050000',NULL,NULL);
INSERT INTO "questions" VALUES('018bcfe568bb77d429fa296f59418ded','T0SANDBOX','C0GENERAL','1700000000.138230','1700000000.138230','U0ALICE',NULL,NULL,'A question of several people.','1700000000.138230',NULL,'openai:demo/quick','1700000000.156115','shown','018bcfe568f2a3f948e0b1506a7243ff','2023-11-14 22:13:20.187653',NULL,NULL);
INSERT INTO "questions" VALUES('018bcfe56a6a71d680cff1956cb10605','T0SANDBOX','C0GENERAL','1700000000.519813','1700000000.519813','U0ALICE',NULL,NULL,'A question that the model refuses.','1700000000.519813',NULL,'openai:demo/quick','1700000000.533049','shown','018bcfe56aa0b458a6df7d1f7d7dbe69','2023-11-14 22:13:20.618857',NULL,NULL);
INSERT INTO "questions" VALUES('018bcfe56d2024367e8c6913a5bca9b0','T0SANDBOX','C0GENERAL','1700000001.132568','1700000001.132568','U0ALICE',NULL,NULL,'A question to a model that is gone.','1700000001.132568',NULL,'openai:demo/eye','1700000001.967185','shown','018bcfe570876e5f60946a1fc54c95c9','2023-11-14 22:13:21.312885',NULL,NULL);
INSERT INTO "questions" VALUES('018bcfe5753f4d22545d7bf246356579','T0SANDBOX','C0GENERAL','1700000003.148030','1700000003.148030','U0ALICE',NULL,NULL,'Which model shall answer this?','1700000003.148030',NULL,NULL,'1700000003.968734','open',NULL,'2023-11-14 22:13:23.391684',NULL,NULL);
INSERT INTO "questions" VALUES('018bcfe5787ac571d92eed4fa84eac60','T0SANDBOX','C0GENERAL','1700000003.971963','1700000003.971963','U0ALICE',NULL,NULL,'Where is the menu of this question?','1700000003.971963',NULL,NULL,NULL,'open',NULL,'2023-11-14 22:13:24.218873',NULL,NULL);
INSERT INTO "questions" VALUES('018bcfe57c883a56c6b2ed7feab6c630','T0SANDBOX','C0GENERAL','1700000004.991967','1700000004.991967','U0BOB',NULL,NULL,NULL,NULL,NULL,NULL,'1700000006.001677','open',NULL,'2023-11-14 22:13:25.256781',NULL,NULL);
INSERT INTO "questions" VALUES('018bcfe58098eb783d6ce3d1230d6161','T0SANDBOX','C0GENERAL','1700000006.005345','1700000006.005345','U0ALICE',NULL,NULL,'Stop this answer.','1700000006.005345',NULL,'openai:demo/quick','1700000007.017446','shown','018bcfe584a0b971d8502660d6bad3ef','2023-11-14 22:13:26.296469',NULL,NULL);
INSERT INTO "questions" VALUES('018bcfe584a8378815080188616a8ff2','T0SANDBOX','C0GENERAL','1700000007.042139','1700000007.042139','U0ALICE',NULL,NULL,'Finish this answer.','1700000007.042139',NULL,'openai:demo/quick','1700000008.024652','shown','018bcfe588a5de9f8d5b1d206e0dc125','2023-11-14 22:13:27.336776',NULL,NULL);
CREATE TABLE workspaces (
	team VARCHAR(64) NOT NULL, 
	enterprise VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_workspaces PRIMARY KEY (team)
);
CREATE INDEX ix_api_tokens_person ON api_tokens (team, user);
CREATE INDEX ix_participants_chat_id ON participants (chat_id);
CREATE INDEX ix_answers_open ON answers (chat_id, number) WHERE state != 'ended';
CREATE INDEX ix_answers_question_id ON answers (question_id);
CREATE UNIQUE INDEX uq_answers_running ON answers (chat_id) WHERE state = 'running';
CREATE INDEX ix_questions_state ON questions (state, created_at);
CREATE INDEX ix_questions_thread ON questions (team, channel, thread, user);
CREATE INDEX ix_answers_chat_id ON answers (chat_id);
CREATE INDEX ix_installations_team ON installations (team);
CREATE INDEX ix_participants_shown ON participants (team, user, active_at, chat_id) WHERE NOT away;
CREATE INDEX ix_participants_plain ON participants (team, user, active_at, chat_id) WHERE NOT away AND NOT indexed;
COMMIT;
