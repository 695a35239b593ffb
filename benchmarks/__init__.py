"""What we claim about speed, as commands. Everything compared is measured side by side in one run."""
