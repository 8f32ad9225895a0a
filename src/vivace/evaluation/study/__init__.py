"""Human studies: blind pairs of clips, served to raters, and what their votes say."""
