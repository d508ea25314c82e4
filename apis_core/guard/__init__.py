"""What stops a converter when nobody commands it any more: a dead-man that outlives the process that writes."""
