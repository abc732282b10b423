"""The forecaster in service: demand kept current, forecasts remembered, judged and published."""
