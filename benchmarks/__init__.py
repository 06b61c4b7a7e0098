"""Side by side with the peers: same process, same weights, same pairs, interleaved rounds. ``make bench`` runs it.

shapes · texts → models · workloads → systems/ → rounds → cases/ → results → tables · report
"""
