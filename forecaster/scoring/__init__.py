"""How good forecasts are: as quantiles, against simple ones, and in what a warm pool pays."""
