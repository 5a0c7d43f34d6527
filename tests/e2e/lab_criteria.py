"""What the labs of docs/labs are held to: the figures of the issue that asked for them.

Each check gets what `nestor sched-compare --json` gave under each policy and the policy that it is to judge
("qos" or "qos+state"), raises Wrong, or returns the figures that were reached in a line of text.

"Left" is time minus real-time work.
"""

SETTLED_NS = 1e9  # misses are counted after that


class Wrong(Exception):
    pass


def need(ok, text):
    if not ok:
        raise Wrong(text)


class Setting:
    """What all checks of a run of this program share."""

    full = False  # 100 s and eight phases, where a thousandth may be missed; else 10 s and two, where none may
    phases = 2
    length_s = 10.0
    batch_alone = {}  # by number of batch guests: a run of a child with them and nobody else

    @classmethod
    def allowed(cls, jobs, part):
        return jobs * part if cls.full else 0


def percent(part, whole):
    return 100 * part / whole if whole else 0


def meets(m, part=0.001, always=False):
    """@always: so much is allowed in a short run, too."""
    need(m["jobs"] > 100, f"{m['name']}: only {m['jobs']} jobs")
    need(m["missed_settled"] <= (m["jobs"] * part if always else Setting.allowed(m["jobs"], part)),
         f"{m['name']}: {m['missed_settled']} of {m['jobs']} missed after 1 s "
         f"({percent(m['missed_settled'], m['jobs']):.2f} %), worst lateness {m['late_us'] / 1e3:.1f} ms")


def fair(machines, points=2):
    off = max(machines, key=lambda m: abs(m["cpu_percent"] - m["fair_percent"]))
    need(abs(off["cpu_percent"] - off["fair_percent"]) <= points,
         f"{off['name']}: {off['cpu_percent']} % of the CPU, fair is {off['fair_percent']}")
    return f"shares within {abs(off['cpu_percent'] - off['fair_percent']):.2f} points"


def missed(machines):
    periodic = [m for m in machines if m["jobs"]]
    worst = max(periodic, key=lambda m: m["missed_settled"] / m["jobs"])
    text = f"{sum(m['missed_settled'] for m in periodic):,} of {sum(m['jobs'] for m in periodic):,} missed"
    if worst["missed_settled"]:
        text += f", most {worst['name']} {percent(worst['missed_settled'], worst['jobs']):.3f} %"
    return text


def rate_of(machines):
    """Units of work in a ns of the run, up to the last time that each guest wrote its count."""
    return sum(g["work"] / g["work_at_ns"] for m in machines for g in m["guests"] if g["work"])


def charges(run, *kinds):
    return sum(m["charged_ns"][k] for m in run["machines"] for k in kinds or m["charged_ns"])


def all_the_rest(run, net=False):
    """The processors' time that real-time jobs left went to batch guests, and what these did is 98 % of what they do
    in that time when they are alone. @net: in that time without what the lab charges for L0's own work (left and
    alone): where real-time guests leave little and come often, their switches and exits alone are more than 2 %."""
    machines = run["machines"]
    whole = run["ran_for_ns"] * run["workers"]
    idle = 100 - sum(m["cpu_percent"] for m in machines)
    real_time = sum(p["true_work_ns"] * run["ran_for_ns"] / p["true_y_ns"] for m in machines for g in m["guests"] for p in g["parts"][:1])
    left = whole - real_time
    need(whole * idle / 100 <= 0.02 * left, f"{idle:.2f} % of the processors was idle")
    if not Setting.batch_alone:
        return "no processor idle"
    # the same children: one that has two batch guests pays for their turns when it is alone, too
    alone = Setting.batch_alone[max(sum(1 for g in m["guests"] if g["work"]) for m in machines if not m["jobs"])]
    done, rate = rate_of(machines) * run["ran_for_ns"], rate_of(alone["machines"])
    kept = percent(done / rate, left)
    rate *= alone["ran_for_ns"] / (alone["ran_for_ns"] - charges(alone))
    kept_net = percent(done / rate, left - charges(run))
    need((kept_net if net else kept) >= 98, f"batch guests got {kept:.1f} % of what was left, {kept_net:.1f} % net of charges")
    return f"{kept:.1f} % of the rest by batch guests' counts, {kept_net:.1f} % net of charges"


def rr_misses_a_third(runs):
    phases = runs["rr"]["machines"][0]["phases"]
    least = min(percent(p["missed"], p["jobs"]) for p in phases)
    need(least >= 33, f"rr misses only {least:.1f} % at one phase")
    return f"rr {least:.0f} to {max(percent(p['missed'], p['jobs']) for p in phases):.0f} % missed"


def lab1(runs, policy):
    machines = runs[policy]["machines"]
    meets(machines[0])
    return [rr_misses_a_third(runs), missed(machines), all_the_rest(runs[policy]), fair(machines)]


def lab5_rr(runs, policy):
    """Processes that take turns: the real-time one is found, its period and work are right; most ends are seen."""
    machines = runs[policy]["machines"]
    a = machines[0]
    meets(a, always=True)  # an end on a tick does not show, and may cost one
    part = a["guests"][0]["parts"][0]
    need(part["settled_after_ns"] and part["settled_after_ns"] <= 1e9,
         f"estimates within 10 % after {part['settled_after_ns']} ns")
    periods = (Setting.length_s - SETTLED_NS / 1e9) * 1e9 / part["true_y_ns"] * Setting.phases
    misread = abs(percent(periods - part["jobs"], periods))
    need(misread <= 5, f"{misread:.1f} % of the ends were misread")
    return [missed(machines), f"{misread:.2f} % of the ends misread", all_the_rest(runs[policy]), fair(machines)]


def all_meet(runs, policy):
    machines = runs[policy]["machines"]
    for m in machines:
        if m["jobs"]:
            meets(m)
    # a processor whose VMM is about to halt is left to it (1,906 without)
    switches = sum(m["switches"] for m in machines) * 1e9 / runs[policy]["ran_for_ns"]
    need(switches <= 1700, f"{switches:.0f} switches a second")
    return [missed(machines), all_the_rest(runs[policy], net=True)]


def lab3a(runs, policy):
    machines = runs[policy]["machines"]
    for m in machines[:2]:
        meets(m)
    return [missed(machines), all_the_rest(runs[policy]), fair(machines)]


def lab2(runs, policy):
    """After each change: Y and work within 10 % in 20 periods, R settled about its mean, at most 1.5 x the need."""
    machines = runs[policy]["machines"]
    slowest, ripple, most = 0, 0, 0
    for n, p in enumerate(machines[0]["guests"][0]["parts"]):
        need(p["settled_after_ns"], f"part {n}: estimates never within 10 %")
        periods = p["settled_after_ns"] / p["true_y_ns"]
        need(n == 0 or periods <= 20, f"part {n}: estimates within 10 % after {periods:.0f} periods")
        if n:
            slowest = max(slowest, periods)
            off = p["r_off_percent"]
            ripple = max(ripple, off)
            need(off <= 15, f"part {n}: R goes {off:.1f} % from its mean, as a mean of all phases")
        most = max(most, p["r_mean_ns"] / p["need_ns"])
        need(p["r_mean_ns"] <= 1.5 * p["need_ns"], f"part {n}: R {p['r_mean_ns']}, need {p['need_ns']} ns")
    return [f"again within 10 % after {slowest:.0f} periods", f"R within {ripple:.1f} %, {most:.2f} x the need",
            missed(machines), fair(machines)]


def lab4(runs, policy):
    machines = runs[policy]["machines"]
    for m in machines[:4]:
        meets(m)
    gap = max(m["longest_wait_ns"] for m in machines)
    need(gap <= 100e6, f"somebody waited {gap / 1e6:.0f} ms")
    need(machines[4]["refusals"] and machines[5]["refusals"], "nobody was refused")
    free = 0.6 * Setting.length_s * 1e9
    late = max(m["guests"][0]["last_miss_ns"] - free for m in machines[4:6])
    need(late <= 50 * 10e6, f"somebody still misses {late / 1e6:.0f} ms after the load's end")
    return [missed(machines[:4]), f"longest gap {gap / 1e6:.0f} ms", f"last miss {max(late, 0) / 10e6:.0f} periods after the load's end"]


def lab4_overload(runs, policy):
    """The part before the load's end."""
    machines = runs[policy]["machines"]
    rest = 100 - sum(m["cpu_percent"] for m in machines[:4])
    least = min(m["cpu_percent"] / (rest / 3) for m in machines[4:])
    need(least >= 0.8, f"somebody refused gets {100 * least:.0f} % of its share of the rest")
    return [f"the others get {100 * least:.0f} % at least of their share of the rest"]


def lab6(runs, policy):
    """Locked sections of machines whose processors wait for each other: at least twice those under rr, and no
    less than what plain fair shares give."""
    rr, credit, qos = (runs[p]["machines"] for p in ("rr", "credit", policy))
    times = min(b["work"] / a["work"] if a["work"] else 0 for a, b in zip(rr, qos))
    need(times >= 2, f"{times:.2f} times what rr does")
    for a, b in zip(credit, qos):
        need(b["work"] >= 0.97 * a["work"], f"{b['name']}: {b['work']}, under credit {a['work']}")
    return [f"{times:.0f} times what rr does", f"credit {min(b['work'] / a['work'] for a, b in zip(rr, credit)):.0f} times", fair(qos)]


def lab7(runs, policy):
    machines = runs[policy]["machines"]
    honest, deceiver = machines[:2]
    meets(honest, 0.002)
    over = deceiver["cpu_percent"] - deceiver["fair_percent"]
    need(over <= 1, f"the deceiver takes {deceiver['cpu_percent']} %, fair is {deceiver['fair_percent']}")
    return [missed([honest]), f"the deceiver takes {deceiver['cpu_percent']:.2f} of {deceiver['fair_percent']:.2f} %"]


def lab9(runs, policy):
    """Quanta by processor state: fewer misses and less of the host's CPU for each unit of work, equal shares."""
    machines = {p: runs[p]["machines"] for p in ("qos", "qos+state")}
    work = {p: sum(m["work"] for m in machines[p]) for p in machines}
    need(min(work.values()) > 1000, f"only {work} units of work")
    figures = []
    for key in ("tlb_misses", "code_misses"):
        qos, state = (sum(m[key] for m in machines[p]) / work[p] for p in ("qos", "qos+state"))
        need(state < qos * 0.6, f"{key}: {state:.3f} a unit of work, under qos {qos:.3f}")
        figures.append(f"{key.replace('_', ' ')} a unit {state:.2f}, qos {qos:.2f}")
    qos, state = (runs[p]["host_cpu_ns"] / work[p] for p in ("qos", "qos+state"))
    # a time of the host's: judged at full length only, told in 10 s
    need(state < qos or not Setting.full, f"{state:.0f} ns of the host's CPU a unit of work, under qos {qos:.0f}")
    figures.append(f"host's CPU {percent(state - qos, qos):+.1f} %")
    return figures + [fair(machines["qos+state"], 0.5)]


def topology(runs, policy):
    """Ten machines on eight workers: nobody moves without need, as round robin does; equal shares."""
    def moves(p):
        return sum(m["moves"] for m in runs[p]["machines"]) / sum(m["moves"] + m["stays"] for m in runs[p]["machines"])

    need(moves("rr") > 0.9, f"rr moves at {moves('rr'):.2f} of its switches")
    for p in ("credit", policy):
        need(moves(p) <= 0.3, f"{p} moves at {moves(p):.2f} of its slices")
        fair(runs[p]["machines"])
    return [f"moves at {100 * moves(p):.0f} % of the slices under {p}" for p in ("rr", "credit", policy)]


def slices(runs, policy):
    """Estimates are those that lab1 gives, whatever the slice."""
    a = runs[policy]["machines"][0]["guests"][0]
    meets(runs[policy]["machines"][0])
    for key, want in (("y_ns", 10e6), ("work_ns", 2e6), ("x_ns", 2.02e6)):
        need(abs(a[key] - want) <= want / 100, f"{key} is {a[key]}")
    return [f"Y {a['y_ns'] / 1e6:.3f} ms, work {a['work_ns'] / 1e6:.3f} ms, X {a['x_ns'] / 1e6:.3f} ms",
            missed(runs[policy]["machines"])]


def stops(runs, policy):
    """D stops in the middle, with a reservation: the others get what it leaves."""
    machines = runs[policy]["machines"]
    need(machines[3]["stopped_ns"] and machines[3]["jobs"] > 100, "D did not run, or did not stop")
    meets(machines[0])
    used = sum(m["cpu_percent"] for m in machines)
    need(used >= 98, f"{100 - used:.2f} % of the processors was idle")
    share = sum(m["cpu_percent"] for m in machines[:3]) / 3
    for m in machines[:3]:
        need(abs(m["cpu_percent"] - share) <= 1, f"{m['name']}: {m['cpu_percent']} % of {share:.2f}")
    return [missed(machines[:1]), "the others have equal shares"]


CHECKS = {
    "lab1": lab1, "lab1-wake-first": lab1, "lab1-strict": lab1,
    "lab2": lab2, "lab2-period": lab2, "lab2-wake-first": lab2, "lab2-strict": lab2,
    "lab3a": lab3a, "lab3b": all_meet, "lab3b-jitter": all_meet, "lab3b-93": all_meet,
    "lab4": lab4, "lab4:overload": lab4_overload,
    "lab5": lab1, "lab5-rr": lab5_rr, "lab5-rr-vary": lab5_rr,
    "lab6": lab6, "lab6-four": lab6,
    "lab7-spin": lab7, "lab7-tick": lab7, "lab7-flood": lab7, "lab7-mimic4": lab7, "lab7-mimic6": lab7,
    "lab7-bait": lab7, "lab7-procs": lab7, "lab7-burst": lab7, "lab7-halt": lab7, "lab7-yield": lab7,
    "lab9": lab9, "topology": topology, "lab1+stops": stops,
}
for text in ("500us", "1ms", "2ms", "5ms", "20ms"):
    CHECKS["lab1@slice = " + text] = slices
STRETCH = {"lab3b-93"}  # held to the same figures, but a miss is told and is no failure
