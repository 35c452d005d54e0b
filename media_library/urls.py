from django.urls import path

from media_library.views import changes, pages, playback, uploads

app_name = "library"
urlpatterns = [
    path("", pages.listing, name="list"),
    path("delete/", changes.bulk_delete, name="bulk_delete"),
    path("uploads/", uploads.collection, name="upload"),
    path("uploads/<uuid:upload_id>/", uploads.resource, name="upload_one"),
    path("download/<str:token>/", playback.download, name="download"),
    path("<int:file_id>/", pages.show, name="show"),
    path("<int:file_id>/row/", pages.row, name="row"),
    path("<int:file_id>/play/", playback.play, name="play"),
    path("<int:file_id>/thumbnail/", playback.thumbnail, name="thumbnail"),
    path("<int:file_id>/rename/", changes.rename, name="rename"),
    path("<int:file_id>/delete/", changes.delete, name="delete"),
    path("<int:file_id>/refresh/", changes.refresh, name="refresh"),
]
