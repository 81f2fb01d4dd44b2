"""What `bff new` writes: an application's folder, and what is added to one."""
