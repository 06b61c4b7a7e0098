"""The re-runnable recipe of the two mini models; see README.md in this folder for the commands."""
