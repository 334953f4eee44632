"""Flink with Iceberg's sink as a peer: `./x bench rides-bronze --peers flink`, or the benchmark peer-flink.

One JVM (Flink's own local cluster, two slots), which costs Flink less than a cluster would: no records cross a network. Its jars come
from PyPI (Flink) and Maven (Iceberg, Hadoop's client classes) into .deps/flink the first time; needs javac, java 17 and mvn.
"""
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

from common import PYTHON, ROOT, Wrong, call, measure

FLINK_VERSION = "2.1.3"  # the newest line for which Iceberg's newest runtime is published, see flink/pom.xml
HERE = Path(__file__).resolve().parent
HOME = ROOT / ".deps/flink"
INTERVAL_S = 5  # weir.epoch.interval of examples/rides
OPENS = ["java.base/java.util", "java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio", "java.base/sun.nio.ch",
         "java.base/java.lang.reflect", "java.base/java.text", "java.base/java.time", "java.base/java.util.concurrent",
         "java.base/java.util.concurrent.atomic", "java.base/java.util.concurrent.locks"]


def install():
    done = HOME / "done"
    source = (HERE / "flink/pom.xml").read_text() + (HERE / "flink/Bronze.java").read_text() + FLINK_VERSION
    if done.exists() and done.read_text() == source:
        return
    for program in ("java", "javac", "mvn"):
        if not shutil.which(program):
            raise Wrong(f"the peer flink needs {program}: apt-get install openjdk-17-jdk-headless maven")
    lib = HOME / "lib"
    if not (lib / f"flink-dist-{FLINK_VERSION}.jar").exists():
        shutil.rmtree(HOME, ignore_errors=True)
        lib.mkdir(parents=True)
        call([PYTHON, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
              f"apache-flink-libraries=={FLINK_VERSION}", "-d", HOME])
        archive = next(HOME.glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name)
                if name.parent.name == "lib" and name.suffix == ".jar" and not name.name.startswith("log4j"):
                    with open(lib / name.name, "wb") as out:
                        shutil.copyfileobj(tar.extractfile(member), out)
        archive.unlink()
    call(["mvn", "-q", "-B", "-f", HERE / "flink/pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={lib}", "-DincludeScope=runtime"])
    call(["javac", "-cp", f"{lib}/*", "-d", HOME / "classes", HERE / "flink/Bronze.java"])
    done.write_text(source)


def run(work, folder, backend):
    """One job over the input; (CPU and wall seconds of the job, the whole process as measured). Its rows are checked."""
    out = Path(work) / "flink"
    shutil.rmtree(out, ignore_errors=True)
    (out / "checkpoints").mkdir(parents=True)
    m = measure(["java", "-Xmx6g", *(x for o in OPENS for x in ("--add-opens", f"{o}=ALL-UNNAMED")), f"-Djava.io.tmpdir={out}",
                 "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", f"{HOME}/classes:{HOME}/lib/*", "Bronze", folder / "events.ndjson",
                 out / "warehouse", out / "checkpoints", backend, INTERVAL_S])
    table = out / "warehouse/bronze/ride_events/metadata"
    version = (table / "version-hint.text").read_text().strip()
    call([PYTHON, HERE / "answer.py", "metadata", table / f"v{version}.metadata.json", folder])
    commits = len(json.loads((table / f"v{version}.metadata.json").read_text())["snapshots"])
    shutil.rmtree(out)
    return json.loads(m.out.splitlines()[-1]), m, commits


def figures(b, folder, weir, events):
    """Flink's figures beside a run of Weir over the same input; the state backend that does better counts."""
    install()
    b.say(subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()[0])
    found = {}
    for backend in ("hashmap", "rocksdb"):
        job, whole, commits = run(b.work, folder, backend)
        b.say(f"flink, {backend}: {events / job['wall_s']:,.0f} events/s, {job['cpu_s'] / events * 1e6:.1f} CPU us an event, {commits} commits")
        found[backend] = (job, whole)
    backend = min(found, key=lambda k: found[k][0]["cpu_s"])
    job, whole = found[backend]
    return {"flink_events_per_s": events / job["wall_s"], "flink_cpu_us_per_event": job["cpu_s"] / events * 1e6, "flink_state": backend,
            "flink_peak_rss_mb": whole.peak_rss_bytes / 1e6, "per_cpu_s_vs_flink": job["cpu_s"] / weir.cpu_s,
            "per_cpu_s_vs_flink_with_jvm_start": whole.cpu_s / weir.cpu_s, "per_wall_s_vs_flink": job["wall_s"] / weir.wall_s}
