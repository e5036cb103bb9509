from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('models_app', '0005_processes_samples_trials'),
    ]

    operations = [
        migrations.AddField(
            model_name='operation',
            name='reason',
            field=models.TextField(blank=True, verbose_name='reason as a code'),
        ),
    ]
