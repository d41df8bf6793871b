"""A link stays when its user is deleted, so that the account never gets another user by itself."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("doorward", "0001_initial"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.AlterField(
            model_name="linkedaccount",
            name="user",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=models.deletion.SET_NULL,
                related_name="doorward_account",
                to=settings.AUTH_USER_MODEL,
            ),
        )
    ]
