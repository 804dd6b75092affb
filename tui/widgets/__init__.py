"""What the screens are made of. Widgets take data and post messages; they read nothing."""
