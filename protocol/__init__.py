"""The bytes that device, gateway and office agree on. Importing the package loads nothing."""

VERSION = 1
