"""Addresses of streams and destinations."""

from django.urls import path

from streams.views import destinations, editor, listing, pictures, schedule, show

app_name = "streams"
urlpatterns = [
    path("", listing.index, name="list"),
    path("rows", listing.rows, name="rows"),
    path("bulk", listing.bulk, name="bulk"),
    path("new", editor.new, name="new"),
    path("pick", editor.pick, name="pick"),
    path("destinations/", destinations.index, name="destinations"),
    path("destinations/new", destinations.new, name="destination_new"),
    path("destinations/<int:pk>/edit", destinations.edit, name="destination_edit"),
    path("destinations/<int:pk>/delete", destinations.delete, name="destination_delete"),
    path("destinations/<int:pk>/reveal", destinations.reveal, name="destination_reveal"),
    path("<int:pk>/", show.page, name="show"),
    path("<int:pk>/fragments", show.fragments, name="fragments"),
    path("<int:pk>/edit", editor.edit, name="edit"),
    path("<int:pk>/start", show.start, name="start"),
    path("<int:pk>/stop", show.stop, name="stop"),
    path("<int:pk>/duplicate", show.duplicate, name="duplicate"),
    path("<int:pk>/delete", show.delete, name="delete"),
    path("<int:pk>/schedule", schedule.page, name="schedule"),
    path("<int:pk>/schedule/clear", schedule.clear, name="schedule_clear"),
    path("<int:pk>/picture", pictures.show, name="picture"),
    path("pictures/<str:token>", pictures.take, name="picture_in"),
    path("<int:pk>/outputs/<int:output_pk>", show.output, name="output"),
]
