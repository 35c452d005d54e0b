"""Addresses of streams and destinations."""

from django.urls import path

from streams.views import destinations, editor, inputs, listing, pictures, runs, show, slates, steering, testing

app_name = "streams"
urlpatterns = [
    path("", listing.index, name="list"),
    path("rows", listing.rows, name="rows"),
    path("bulk", listing.bulk, name="bulk"),
    path("new", editor.new, name="new"),
    path("pick", editor.pick, name="pick"),
    path("destinations/", destinations.index, name="destinations"),
    path("destinations/new", destinations.new, name="destination_new"),
    path("destinations/test", testing.start, name="destination_test"),
    path("destinations/tests/<uuid:test_id>", testing.result, name="destination_test_result"),
    path("destinations/<int:pk>/test", testing.start_saved, name="destination_test_saved"),
    path("destinations/<int:pk>/edit", destinations.edit, name="destination_edit"),
    path("destinations/<int:pk>/delete", destinations.delete, name="destination_delete"),
    path("destinations/<int:pk>/reveal", destinations.reveal, name="destination_reveal"),
    path("inputs/", inputs.index, name="inputs"),
    path("inputs/new", inputs.new, name="input_new"),
    path("inputs/<int:pk>/edit", inputs.edit, name="input_edit"),
    path("inputs/<int:pk>/delete", inputs.delete, name="input_delete"),
    path("<int:pk>/", show.page, name="show"),
    path("<int:pk>/fragments", show.fragments, name="fragments"),
    path("<int:pk>/edit", editor.edit, name="edit"),
    path("<int:pk>/start", show.start, name="start"),
    path("<int:pk>/stop", show.stop, name="stop"),
    path("<int:pk>/duplicate", show.duplicate, name="duplicate"),
    path("<int:pk>/delete", show.delete, name="delete"),
    path("<int:pk>/picture", pictures.show, name="picture"),
    path("<int:pk>/slate", slates.show, name="slate"),
    path("slates/<str:token>", slates.out, name="slate_out"),
    path("pictures/<str:token>", pictures.take, name="picture_in"),
    path("<int:pk>/outputs", show.add_output, name="add_output"),
    path("<int:pk>/outputs/<int:output_pk>", show.output, name="output"),
    path("<int:pk>/outputs/<int:output_pk>/remove", show.remove_output, name="remove_output"),
    path("<int:pk>/steer", steering.steer, name="steer"),
    path("<int:pk>/pick", steering.pick, name="pick_next"),
    path("<int:pk>/insert", steering.insert, name="insert"),
    path("<int:pk>/playing", steering.playing, name="playing"),
    path("<int:pk>/items/<int:item_pk>/steer", steering.steer_item, name="steer_item"),
    path("<int:pk>/items/<int:item_pk>/move", steering.move_item, name="move_item"),
    path("<int:pk>/items/<int:item_pk>/remove", steering.remove_item, name="remove_item"),
    path("<int:pk>/samples", runs.samples, name="samples"),
    path("<int:pk>/runs/<uuid:run_pk>", runs.show, name="run"),
]
