from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    """The admin is the operators' console; its site adds their home page."""

    default_site = "ops.admin_site.OperatorsSite"
