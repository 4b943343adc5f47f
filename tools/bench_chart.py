# SPDX-License-Identifier: MIT
"""Draws the benchmark's figures beside KVM's, by gnuplot: bars, and curves over live MMIO entries and over ranges."""

import os
import re
import subprocess

CURVE = re.compile(r"(kvm_)?curve_(\w+)_ticks_(live|ranges)_(\d+)$")
# What is drawn of them, and what it is called.
CURVES = {
    "live": (
        ("", "invalidate", "Trapline: all MMIO entries made stale"),
        ("", "remove_mmio", "Trapline: an MMIO range removed"),
        ("", "remove_ram", "Trapline: 2 MiB of RAM removed"),
        ("kvm_", "remove_ram", "KVM: a memory slot removed"),
    ),
    "ranges": (
        ("", "read32", "Trapline: MMIO read"),
        ("", "stale_read32", "Trapline: first read after an invalidation"),
        ("kvm_", "read32", "KVM: MMIO read, in the kernel"),
        ("", "add", "Trapline: a range added"),
    ),
}
# The policies' costs: what is drawn of policy_NAME_WHAT, and what each policy is called.
POLICY_BARS = {"move_ticks": "a move", "read_all_ticks": "1,000 reads", "stall_ticks": "longest wait"}
POLICIES = {"range": ("tags", "#0072b2"), "all": ("all stale", "#56b4e9"), "zap": ("walk and zap", "#cc79a7")}

AXES = {"live": "live MMIO entries", "ranges": "ranges in the map (KVM: devices on the bus)"}

# Colours that the colour-blind can tell apart.
OURS, KVM = "#0072b2", "#d55e00"

SCRIPT = """\
set output "{output}"
set terminal {terminal}
set multiplot
set title "Ticks (instructions) on the same emulated CPU; less is better" font ",14"
set origin 0, 0.42
set size 1, 0.58
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set logscale y
set yrange [10:*]
set ylabel "ticks"
set grid ytics
set key top left
set xtics rotate by -30 left noenhanced font ",9"
set bmargin 9
set rmargin 12
set format y "%.0s%c"
plot $bars using 2:xtic(1) title "Trapline" linecolor rgb "{ours}", $bars using 3 title "{kvm_title}" linecolor rgb "{kvm}"
unset bmargin
set rmargin 3
set xtics norotate center font ",10"
set logscale xy
set format x "%.0s%c"
set yrange [100:*]
{curves}
{policies}
unset multiplot
"""
PANEL = """\
set title "{title}" font ",12"
set origin {origin}, 0
set size 0.334, 0.41
set xlabel "{axis}"
set key top left font ",9"
plot {lines}
"""

POLICY_PANEL = """\
set title "A machine of 1,000 devices whose BARs move" font ",12"
set origin 0.667, 0
set size 0.333, 0.41
unset logscale x
set format x "%s"
set xtics noenhanced
set xlabel "by what a commit does about MMIO entries"
set style data histogram
set key top left font ",9"
plot {lines}
"""


class ChartError(Exception):
    """There is no chart; the text says why."""


def bars(figures, kvm):
    """Rows `name ours KVM's`, in the table's order; of a range KVM's lower end."""
    rows = [(name, figures[name], kvm[name]["low"]) for name in kvm if name.endswith("_ticks") and figures.get(name)]
    return "".join(f'"{name.removesuffix("_ticks")}" {ours} {theirs}\n' for name, ours, theirs in rows)


def curve_points(figures):
    """{(side, what, by): [(number, ticks)...]} by rising number. None live is drawn as one: the axis is logarithmic."""
    points = {}
    for name, ticks in figures.items():
        match = CURVE.match(name)
        if match:
            side, what, by, number = match.groups()
            points.setdefault((side or "", what, by), []).append((max(int(number), 1), ticks))
    return {key: sorted(row) for key, row in points.items()}


def policy_rows(figures):
    rows = ((title, *(figures[f"policy_{policy}_{what}"] for policy in POLICIES)) for what, title in POLICY_BARS.items())
    return "".join(f'"{title}" ' + " ".join(map(str, ticks)) + "\n" for title, *ticks in rows)


def policy_lines():
    return [
        f'$policies using {2 + number}{":xtic(1)" if number == 0 else ""} title "{title}" linecolor rgb "{colour}"'
        for number, (title, colour) in enumerate(POLICIES.values())
    ]


def script(figures, kvm, terminal, output):
    points = curve_points(figures)
    blocks = ["$bars << EOD\n" + bars(figures, kvm) + "EOD\n"]
    panels = []
    for number, (by, curves) in enumerate(CURVES.items()):
        lines = []
        for side, what, title in curves:
            row = points.get((side, what, by))
            if not row:
                continue
            block = f"${side}{what}_{by}"
            blocks.append(f"{block} << EOD\n" + "".join(f"{x} {y}\n" for x, y in row) + "EOD\n")
            colour = KVM if side else OURS
            lines.append(
                f'{block} using 1:2 with linespoints pointtype {5 + 2 * len(lines)} linewidth 2 '
                f'linecolor rgb "{colour}" title "{title}"'
            )
        panels.append(
            PANEL.format(title=f"by {AXES[by]}", axis=AXES[by], origin=0.333 * number, lines=", \\\n  ".join(lines))
        )
    policies = ""
    if f"policy_zap_{next(iter(POLICY_BARS))}" in figures:
        blocks.append("$policies << EOD\n" + policy_rows(figures) + "EOD\n")
        policies = POLICY_PANEL.format(lines=", \\\n  ".join(policy_lines()))
    return "".join(blocks) + SCRIPT.format(
        output=output, terminal=terminal, ours=OURS, kvm=KVM, kvm_title="KVM (Linux 6.1)", curves="".join(panels), policies=policies
    )


def draw(figures, kvm, folder):
    """Leaves bench.svg and bench.png in `folder`. `kvm`: the figures of kvm_figures.json."""
    for output, terminal in (
        ("bench.svg", "svg size 1400,1050 dynamic font 'sans,11' background '#ffffff'"),
        ("bench.png", "pngcairo size 1400,1050 font 'sans,11'"),
    ):
        path = os.path.join(folder, output)
        text = script(figures, kvm, terminal, path)
        try:
            done = subprocess.run(["gnuplot", "-"], input=text, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise ChartError("gnuplot is not installed; run tools/setup bench.") from None
        if done.returncode or not os.path.getsize(path):
            raise ChartError(f"gnuplot drew no {output}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}.")
