"""Peak memory since the last line of the log, the largest of all processes."""

from __future__ import annotations

import resource
from pathlib import Path

import torch
import torch.distributed as dist

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(device: torch.device) -> dict[str, float]:
    """Peak resident memory of a process and, with a GPU, peak allocated memory of a device, in GB (10⁹ bytes); then both
    begin anew. Every process calls this and gets the largest of all.

    Where the kernel does not let a process reset its peak, peak_rss_gb is the peak since the process began.
    """
    names, values = ["peak_rss_gb"], [_peak_rss()]
    if device.type == "cuda":
        names.append("peak_gpu_gb")
        values.append(float(torch.cuda.max_memory_allocated(device)))
        torch.cuda.reset_peak_memory_stats(device)
    peaks = torch.tensor(values, dtype=torch.float64, device=device)
    if dist.is_initialized():
        dist.all_reduce(peaks, op=dist.ReduceOp.MAX)
    return dict(zip(names, (peaks / 1e9).tolist(), strict=True))


def _peak_rss() -> float:
    """Bytes since the last call, where /proc allows."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    try:
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                peak = float(line.split()[1]) * 1024.0
        CLEAR.write_text("5")
    except OSError:
        pass
    return peak
