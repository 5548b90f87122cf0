"""What is needed to try mcoa without hardware: an embedded switch, virtual wires, hosts, a lab in one process."""
