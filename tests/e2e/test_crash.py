"""What was acknowledged survives SIGKILL at any moment: nothing missing, nothing doubled, nothing stuck, cooldowns kept."""
import crash


def test_kill_minus_nine_loses_nothing(tmp_path):
    with crash.Crash(tmp_path, crash.seed_of_the_day()) as c:
        c.kill_many(30)
        c.settle()
        wrong = c.judge()
    print(c.summary())
    assert not wrong, f"{len(wrong)} broken promises (PAWL_SEED={c.seed}): " + "\n".join(wrong[:20])
    # The test must have tested something.
    assert c.kills == 30
    assert len(c.acknowledged) > 30 * crash.CALLS_BEFORE_A_KILL
    assert {name for _, name in c.acknowledged} == set(crash.WEIGHTS)
    c.daemon.finish()
