"""What people look at: three planes through the target, and the central slices of every region."""
