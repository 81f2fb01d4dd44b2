"""What attackers, outages and restarts found, a file a finding: each over real sockets."""
