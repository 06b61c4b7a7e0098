"""Pure functions over scores: aggregation of windows, order, thresholds."""
