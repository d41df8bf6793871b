"""What Doorward adds to manage.py."""
