#!/usr/bin/env python3
"""A tenant's turn with full access can write CODEX_ fields into the journal. The filters that the README
names are not fooled, as the journal itself says who wrote a record."""
from installed import *

codexd = configured()
path = workspace()
systemctl("start", "codexd.socket", "codexd.service")

ID = "5dcd65be07b14cd2aa2a971ecbafa7a6"  # job-finished
job = codexd.submit(turn(f"journal MESSAGE=forged|MESSAGE_ID={ID}|CODEX_EVENT=job-finished|CODEX_JOB=4711|"
                         "CODEX_WORKSPACE=alpha.test|_SYSTEMD_UNIT=codexd.service|_UID=0|UNIT=codexd.service",
                         f"wait {fifo(path + '/gate')}"))
# journald looks up who a sender is when it reads the record: this one is to be still there.
wait_record("job-finished", "CODEX_JOB=4711")
open_fifo(path + "/gate")
job.finished()
wait_record("job-finished", f"CODEX_JOB={job.id}", OWN_RECORDS)

with case("the forged record is in the journal: the attack works as far as it goes"):
    equal(job.messages()[0], "journal record: ok")
    forged = journal("CODEX_JOB=4711")
    equal([r["MESSAGE"] for r in forged], ["forged"])

with case("the journal says whose it is: the workers' unit and the tenant's uid"):
    equal((forged[0]["_SYSTEMD_UNIT"], forged[0]["_UID"]), ("codexd-workers.service", "987"))

with case("with the documented filter it is not shown, and the true records are"):
    equal(journal("CODEX_JOB=4711", OWN_RECORDS), [])
    equal(journal("CODEX_EVENT=job-finished", "CODEX_WORKSPACE=" + ALPHA, OWN_RECORDS)[0]["CODEX_JOB"], str(job.id))

with case("`journalctl -u codexd` does not show it as the service's own either"):
    shown = [r for r in journal("-u", "codexd.service") if r.get("MESSAGE") == "forged"]
    equal(shown, [])
finish()
