"""Houses with batteries that trade energy with their neighbours by themselves."""
