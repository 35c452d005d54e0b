"""Pages of the operators' console about servers, beside what the admin makes by itself."""
