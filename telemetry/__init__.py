"""What everything measures with: metric catalogue, series, store, traces and logs."""
