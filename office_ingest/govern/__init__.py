"""What goes out: releases and their signatures."""
