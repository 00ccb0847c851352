"""Runs measurements, one process each, and keeps what they printed."""
import collections
import dataclasses
import datetime
import json
import os
import pathlib
import re
import resource
import signal
import statistics
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE.parent / "peers"

OUT_OF_MEMORY = ("can't allocate memory", "Cannot allocate memory", "could not be allocated", "MemoryError",
                 "bad_alloc", "out of memory", "failed to map segment")


@dataclasses.dataclass(frozen=True)
class Case:
    """A program with its flags. Cases of one group run in turn, so that they meet the same state of the machine."""
    program: str
    flags: tuple  # of (name, value)
    group: str = dataclasses.field(compare=False, default="")
    most_repeats: int = dataclasses.field(compare=False, default=1000)

    @property
    def id(self):
        return " ".join([self.program, *self.words()])

    def words(self):
        """The flags as words of a command line; those that are None are left out, True is a flag without a value."""
        given = [(name, value) for name, value in self.flags if value is not None]
        return [word for name, value in given for word in ([name] if value is True else [name, str(value)])]

    @property
    def minutes(self):
        """That it was told to take, which no limit cuts."""
        return dict(self.flags).get("--minutes", 0)


def case(program, group="", most_repeats=1000, **flags):
    names = tuple(("--" + name.replace("_", "-"), value) for name, value in flags.items())
    return Case(program, names, group, most_repeats)


def last_line(output):
    return json.loads(output.strip().splitlines()[-1])


def plain_text(output):
    return {"text": output.rstrip()}


def google_benchmark(output):
    """name, without the clock at its end, -> nanoseconds; of repeated runs the median."""
    rows = collections.defaultdict(list)
    scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    for row in json.loads(output[output.index("{"):])["benchmarks"]:
        if row.get("run_type", "iteration") == "iteration" and "real_time" in row:
            name = re.sub("/(real|manual|process)_time$", "", row.get("run_name", row["name"]))
            rows[name].append(row["real_time"] * scale[row["time_unit"]])
    return {"rows": {name: statistics.median(times) for name, times in rows.items()}}


def json_lines(output):
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {"rows": {row["name"]: row.get("ns", row.get("rate")) for row in rows if "name" in row}}


def programs(build, python, out):
    """name -> words of the command, and the reader of its output."""
    peer = lambda name: [str(python), str(PEERS / name)]
    own = lambda *words: [str(build / words[0]), *words[1:]]
    learning = [str(python), str(HERE / "learning.py"), "--build", str(build), "--out", str(out / "learning")]
    return {
        "tenet": (own("reformer", "bench", "step"), last_line),
        "reformer-pytorch": (peer("reformer_pytorch_step.py"), last_line),
        "hugging-face": (peer("hugging_face_step.py"), last_line),
        "pytorch": (peer("transformer_step.py"), last_line),
        "tenet-generation": (own("reformer", "bench", "generate"), last_line),
        "hugging-face-generation": (peer("hugging_face_generation.py"), last_line),
        "pytorch-generation": (peer("transformer_generation.py"), last_line),
        "tenet-profile": (own("reformer", "bench", "step"), plain_text),
        "tenet-products": (own("bench/gemm"), plain_text),
        "tenet-attention": (own("bench/attention"), plain_text),
        "pytorch-compiled": (peer("transformer_step.py") + ["--compile"], last_line),
        "tenet-kernels": (own("bench/gpu_kernels"), json_lines),
        "pytorch-kernels": (peer("gpu_kernels_pytorch.py"), json_lines),
        "tenet-ops": (own("bench/ops", "--benchmark_format=json"), google_benchmark),
        "pytorch-ops": (peer("ops_pytorch.py"), json_lines),
        "libtorch-ops": ([str(HERE.parent.parent / "build/bench/tiny_libtorch")], json_lines),
        "baselines": (learning + ["baselines"], last_line),
        "tenet-learning": (learning + ["train"], last_line),
        "pytorch-learning": (peer("learning.py") + ["--data", str(out / "learning")], last_line),
    }


def busy_seconds():
    """Processor time that the whole machine has spent, on anything."""
    user, nice, system, idle, wait, irq, soft, steal = map(int, open("/proc/stat").readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    """Processor time of the processes that this one has started and seen end."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def failure(code, errors):
    if code == -signal.SIGKILL or any(words in errors for words in OUT_OF_MEMORY):
        return "out of memory"
    lines = errors.strip().splitlines()
    return lines[-1][:200] if lines else f"exit status {code}"


def is_limit(error):
    return error == "out of memory" or error.startswith("over ")


class Results:
    """Records of measurements by case, in a file of JSON lines too."""

    def __init__(self, path, keep, threads):
        self.path, self.threads, self.records = path, threads, collections.defaultdict(list)
        if keep and path.exists():
            for line in path.read_text().splitlines():
                record = json.loads(line)
                failed = not is_limit(record.get("error", "over "))  # that is tried again
                if not failed and record.get("threads") == threads:
                    self.records[record["case"]].append(record)
        else:
            path.write_text("")

    def add(self, record):
        record["threads"] = self.threads
        self.records[record["case"]].append(record)
        with self.path.open("a") as file:
            print(json.dumps(record), file=file)

    def of(self, case):
        return self.records.get(case.id, [])

    def values(self, case, key):
        return [record[key] for record in self.of(case) if key in record]

    def median(self, case, key):
        values = self.values(case, key)
        return statistics.median(values) if values else None

    def error(self, case):
        """Why there is no value: a limit, or "failed", of which failures() says more."""
        errors = [record["error"] for record in self.of(case) if "error" in record]
        if errors:
            return errors[0] if is_limit(errors[0]) else "failed"
        return "not measured"

    def failures(self):
        """case -> the last line of what it wrote, where that was no limit."""
        return {record["case"]: record["error"] for record in self.all()
                if "error" in record and not is_limit(record["error"])}

    def all(self):
        return [record for records in self.records.values() for record in records]


class Runner:
    def __init__(self, options, results):
        self.options, self.results = options, results
        self.programs = programs(options.build, options.python, options.out)

    def run(self, cases):
        """Group by group, the cases of each in turn, until every one has its repetitions. Failures are not repeated."""
        for group in dict.fromkeys(case.group for case in cases):
            members = [case for case in dict.fromkeys(cases) if case.group == group]
            for repeat in range(self.options.repeats):
                for case in members:
                    done = self.results.of(case)
                    wanted = min(self.options.repeats, case.most_repeats)
                    if len(done) <= repeat < wanted and not any("error" in record for record in done):
                        self.measure(case)

    def measure(self, case):
        command, read = self.programs[case.program]
        record = {"case": case.id, "started": datetime.datetime.now().isoformat(timespec="seconds")}
        start, busy, own = time.perf_counter(), busy_seconds(), own_seconds()
        record.update(self.start(command + case.words(), read, self.options.limit + 60 * case.minutes))
        seconds = time.perf_counter() - start
        others = max(0.0, (busy_seconds() - busy) - (own_seconds() - own)) if seconds > 0.5 else 0.0
        record.update(wall_seconds=round(seconds, 2), others=round(others / seconds / os.cpu_count(), 3))
        self.results.add(record)
        print(f"{case.id}\n    {brief(record)}", flush=True)

    def start(self, command, read, limit):
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.options.threads)}
        on_cpu = self.options.device == "cpu"  # a driver maps more than there is
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=limit,
                                  preexec_fn=self.limit_memory if on_cpu else None)
            return read(done.stdout) if done.returncode == 0 else {"error": failure(done.returncode, done.stderr)}
        except subprocess.TimeoutExpired:
            return {"error": f"over {limit:,.0f} s"}
        except (OSError, ValueError, IndexError, KeyError) as error:
            return {"error": f"{type(error).__name__}: {error}"[:200]}

    def limit_memory(self):
        """Data and anonymous mappings; what is above fails to allocate instead of taking the machine down."""
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = self.options.memory_limit if hard == resource.RLIM_INFINITY else min(hard, self.options.memory_limit)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def brief(record):
    shown = ("error", "tokens_per_second", "step_seconds", "peak_bytes", "rss_above_idle_bytes", "bits_per_byte")
    facts = [f"{key} {record[key]:,.4g}" if isinstance(record[key], float) else f"{key} {record[key]}"
             for key in shown if key in record]
    return ", ".join(facts + [f"{record['wall_seconds']} s, others {100 * record['others']:.0f} %"])
