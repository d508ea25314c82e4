"""TDK-Lambda's line protocol of the EZA-2500 bidirectional converter."""
