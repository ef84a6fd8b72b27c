#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sqlite_stress.py FILE JOURNAL-MODE WHO COUNT [hold]

COUNT transfers between 50 accounts, each noted in a log: money neither
appears nor vanishes. With `hold`: prints "open" inside a transaction that is
never committed, and waits to be killed. WHO = check: prints the number of
notes after every check SQLite has.
"""
import random
import sqlite3
import sys
import time

path, mode, who, count = sys.argv[1:5]
db = sqlite3.connect(path, timeout=60, isolation_level=None)
db.execute(f"pragma journal_mode={mode}")
if mode == "wal":
    db.execute("pragma wal_autocheckpoint=50")

if who == "init":
    db.execute("create table account(id integer primary key, sum integer)")
    db.execute("create table note(who text, n integer, pad blob)")
    db.execute("create index by_who on note(who, n)")
    db.executemany("insert into account values(?, 1000)",
                   [(i,) for i in range(50)])
    sys.exit()
if who == "check":
    assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    total, = db.execute("select sum(sum) from account").fetchone()
    assert total == 50000, total
    print(db.execute("select count(*) from note").fetchone()[0])
    sys.exit()

rnd = random.Random(who)
for n in range(int(count)):
    db.execute("begin immediate")
    a, b = rnd.sample(range(50), 2)
    money = rnd.randrange(100)
    db.execute("update account set sum = sum - ? where id = ?", (money, a))
    if len(sys.argv) > 5:
        db.executemany("insert into note values('gone', ?, zeroblob(3000))",
                       [(i,) for i in range(500)])
        print("open", flush=True)
        time.sleep(60)
    db.execute("update account set sum = sum + ? where id = ?", (money, b))
    db.execute("insert into note values(?, ?, ?)",
               (who, n, rnd.randbytes(rnd.randrange(2000))))
    db.execute("commit")
    if n % 25 == 24:
        total, = db.execute("select sum(sum) from account").fetchone()
        assert total == 50000, total
db.close()
