"""The device agent: samples, decides, records, offers. Importing the package loads nothing."""
