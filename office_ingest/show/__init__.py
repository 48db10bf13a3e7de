"""The office's page: what people see of sites, devices, decisions and releases. Reads only."""
