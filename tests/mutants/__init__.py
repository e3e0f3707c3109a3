"""Changes the code, one small change at a time, and tells which of them no test notices.

    python -m tests.mutants --seed 1 --count 300

A test that can't fail is worth nothing, and coverage doesn't tell: it counts what is run, not what is looked at. Here
a comparison is turned round, a guard removed, an argument dropped, and the tests that run the line are run. One of
them should fail.

Why our own: mutmut leaves statements, guards and names as they are, chooses tests by function, has no sample, and
excuses lines by a comment in the code; cosmic-ray has one command of tests for all changes, servers included, and
writes them into the files. Here a seed says which changes are tried, each is made in the memory of a process of its
own, the quickest test that runs it goes first, and an excuse says why. Who runs what is seen by marks in the code,
at the places that would be changed and nowhere else: to trace all lines, as coverage does, takes several times as
long as the tests themselves.

operators   what a change may be
changes     all changes of a module, and a sample of them
house       which rooms are changed, and where their tests are
signals     when this process is to end, and how it hears of that
children    processes of which each does one thing
trials      what one of them does: it runs tests, with marks where changes would be, or with a change
trying      which tests run what is changed, and what becomes of it
excused     changes that are right as they are, each with its reason
told        what is said at the end
"""
