"""What is sent and when: the schedule, event templates, data files, correlation ids."""
