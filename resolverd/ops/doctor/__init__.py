"""What is wrong with the mail server around the daemon, in words, and what to type.

- `machine`: what was read of it · `finding`: a finding · `diagnosis`: the table of all that is looked for
- `main_cf`: Postfix's parameters and services · `restrictions`: its lists of restrictions · `resolv_conf`: the name servers
- findings, a function each: `relay` who may send through Postfix · `policy_line` how the policy service is asked ·
  `duplicates` what is now done twice, and exceptions that come too late · `list_lines` lists asked by Postfix itself ·
  `name_servers` who resolves · `installation` the configuration and the running daemon
"""

from resolverd.ops.doctor.diagnosis import diagnose
from resolverd.ops.doctor.finding import Finding, Severity
from resolverd.ops.doctor.machine import Machine

__all__ = ["Finding", "Machine", "Severity", "diagnose"]
