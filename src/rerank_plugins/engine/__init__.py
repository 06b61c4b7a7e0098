"""One loaded model per process, shared by every adapter, thread and event loop.

registry (load once, count references) → batcher (one worker, many callers) → packer (lengths to batches)
→ executor (run, check, restore order).
"""
