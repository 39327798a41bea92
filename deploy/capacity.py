"""What a load takes: `python deploy/capacity.py`, with your own figures as options.

The defaults were measured by the commands that `docs/operating.md` names, on a machine that did other
work beside: measure yours.
"""

import argparse
import math

LOADS = (1, 10, 100, 1000)


def rows(options: argparse.Namespace) -> list[tuple[str, ...]]:
    """A line for each load, in checks per second."""
    lines: list[tuple[str, ...]] = []
    speed = options.images_per_second or options.cores / options.core_seconds
    for load in LOADS:
        new = load * (1 - options.known)
        workers = math.ceil(new / (speed * options.headroom))
        redis = load * options.redis_ms / 1000
        traffic = load * (options.redis_bytes + options.image_bytes * options.uploaded) * 8 / 1e6
        answers = load * 3600 * options.answer_bytes / 1e9
        day = new * 86400
        cache = day * options.result_days * options.result_bytes / 1e9
        fetched = new * (1 - options.uploaded) * options.image_bytes * 8 / 1e6
        lines.append(
            (
                f"{load:,}",
                f"{workers:,}",
                f"{100 * redis:.1f} %",
                f"{traffic:,.1f}",
                f"{fetched:,.0f}",
                f"{answers:,.2f}",
                f"{day * options.result_days / 1e6:,.0f}",
                f"{cache:,.0f}",
            )
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--core-seconds", type=float, default=0.11, help="of processor for one new image, all told")
    add("--cores", type=int, default=8, help="of one worker's host")
    add("--images-per-second", type=float, help="of one worker, where that is known: of one with a GPU")
    add("--headroom", type=float, default=0.7, help="share of that to plan with")
    add("--known", type=float, default=0.5, help="share of checks that the caches answer")
    add("--uploaded", type=float, default=0.5, help="share of images that are uploaded, not fetched")
    add("--image-bytes", type=float, default=200_000)
    add("--redis-ms", type=float, default=0.34, help="processor time of Redis for one check")
    add("--redis-bytes", type=float, default=4_800, help="to and from Redis for one check")
    add("--answer-bytes", type=float, default=1_066, help="memory of one answer, kept for an hour")
    add("--result-bytes", type=float, default=2_737, help="memory of one cached verdict: result, URL")
    add("--result-days", type=float, default=30, help="AIDETECT_RESULT_TTL in days")
    head = (
        "checks/s",
        "workers",
        "one core of Redis",
        "Mbit/s at Redis",
        "Mbit/s fetched",
        "GB of answers",
        "million verdicts",
        "GB of caches",
    )
    lines = [head, ("---",) * len(head), *rows(parser.parse_args())]
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))


if __name__ == "__main__":
    main()
