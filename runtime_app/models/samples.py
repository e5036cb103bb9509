"""RuntimeSample and MachineSample: what was measured, thinned with age."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from models_app.models import Node
from runtime_app.choices import RuntimeStatus
from runtime_app.models.runtimes import Runtime
from runtime_app.querysets import SampleQuerySet


class RuntimeSample(models.Model):
    """One look at one server; each row stands for `seconds` of time that begin at
    `at`. Null is «not known», never zero. Rates are means over the span."""

    runtime = models.ForeignKey(
        Runtime,
        verbose_name=_("runtime"),
        on_delete=models.CASCADE,
        related_name="samples",
    )
    at = models.DateTimeField(_("at"))
    seconds = models.PositiveIntegerField(_("seconds"), default=10)
    status = models.CharField(_("status"), max_length=12, choices=RuntimeStatus)
    latency_ms = models.FloatField(_("latency"), null=True, blank=True)
    memory_bytes = models.BigIntegerField(_("memory"), null=True, blank=True)
    vram_bytes = models.BigIntegerField(_("GPU memory"), null=True, blank=True)
    requests_running = models.FloatField(_("requests running"), null=True, blank=True)
    requests_waiting = models.FloatField(_("requests waiting"), null=True, blank=True)
    output_tokens_per_second = models.FloatField(
        _("output tokens per second"), null=True, blank=True
    )

    objects = SampleQuerySet.as_manager()

    class Meta:
        verbose_name = _("sample of a runtime")
        verbose_name_plural = _("samples of runtimes")
        ordering = ("-at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=("runtime", "seconds", "at"), name="runtime_sample_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.runtime} · {self.at:%Y-%m-%d %H:%M:%S}"


class MachineSample(models.Model):
    """One look at a node: processor, memory and GPUs; `gpus` holds dicts with `index,
    name, used_bytes, total_bytes, utilization_percent`."""

    node = models.ForeignKey(
        Node,
        verbose_name=_("node"),
        on_delete=models.CASCADE,
        related_name="machine_samples",
    )
    at = models.DateTimeField(_("at"))
    seconds = models.PositiveIntegerField(_("seconds"), default=10)
    cpu_percent = models.FloatField(_("processor"), null=True, blank=True)
    memory_used_bytes = models.BigIntegerField(_("memory used"))
    memory_total_bytes = models.BigIntegerField(_("memory in all"))
    gpus = models.JSONField(_("GPUs"), default=list, blank=True)

    class Meta:
        verbose_name = _("sample of a machine")
        verbose_name_plural = _("samples of machines")
        ordering = ("-at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=("node", "seconds", "at"), name="machine_sample_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.node} · {self.at:%Y-%m-%d %H:%M:%S}"
