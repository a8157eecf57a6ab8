"""An exported model and an index as a service on one machine."""
