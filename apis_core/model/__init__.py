"""What is said: immutable values and their JSON forms in the original field names."""
