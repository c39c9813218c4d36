from collections import defaultdict


class Job:
    def run(self):
        return 1

    def stop(self):
        return 1


def begin():
    return 1


def end():
    return 2


TABLE = {"begin": begin, "end": end}
TABLE["extra"] = Job


def use(jobs: list[Job], named: dict[str, Job], pairs: tuple[Job, str], steps=(begin, end)):
    TABLE["begin"]()
    TABLE["extra"]().run()
    jobs[0].run()
    for job in jobs:
        job.stop()
    for name, job in named.items():
        job.stop()
        name.upper()
    named.get("a").run()
    pairs[0].run()
    pairs[1].strip()
    first, *others = begin, end, Job
    first()
    others[1]().stop()
    for index, job in enumerate(sorted(jobs)):
        job.run()
    lazy = defaultdict(Job)
    lazy["x"].run()
    made = [Job() for _ in range(3)]
    made[0].stop()
    next(iter(jobs)).run()
